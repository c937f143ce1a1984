"""What several output types are made of."""
