"""Choosing machines: list, filters, selection, saved views, pasted lists, locks; one machine; the images."""
