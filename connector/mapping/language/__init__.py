"""The mapping language: grammar, parser, validation and the library of mapping files."""
