"""Does cleaning find what is dirty, what is that worth, how fast is it."""
