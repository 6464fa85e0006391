// What the browser keeps of one person's ways; one that keeps nothing asks and says things again.

export function keep(name, value) {
  try {
    localStorage.setItem(`sightline: ${name}`, value);
  } catch {
    // it is forgotten with the page
  }
}

export function kept(name) {
  try {
    return localStorage.getItem(`sightline: ${name}`);
  } catch {
    return null;
  }
}
