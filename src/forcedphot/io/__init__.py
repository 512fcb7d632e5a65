"""Files and foreign objects in, tables out."""
