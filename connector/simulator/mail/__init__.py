"""The mail of an invented company: what its messages say and what a security service found in them."""
