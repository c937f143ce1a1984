"""Where a customer of Cortex XSOAR puts functions of their own: empty."""
