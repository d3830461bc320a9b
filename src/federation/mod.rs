//! Which accounts there are, and how to get into them.
