"""The page of a change whose machines are being read."""
