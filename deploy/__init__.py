"""Running Sightline elsewhere; reaches it only through its commands, its HTTP contract and its settings' names."""
