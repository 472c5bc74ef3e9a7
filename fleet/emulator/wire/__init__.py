"""HTTP as the vendor speaks it: server, messages, parameters, signatures, error forms, times."""
