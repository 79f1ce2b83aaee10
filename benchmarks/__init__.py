"""The documents' claims as commands, which print them and store them with the hardware."""
