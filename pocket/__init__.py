"""The bundled model and gallery, and the code that made them."""
