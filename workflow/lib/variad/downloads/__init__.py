"""Downloads: what publishers serve, fetched so that an interruption costs nothing, verified and safely unpacked."""
