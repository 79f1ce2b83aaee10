"""What the README claims, as commands that print it and store it with the hardware."""
