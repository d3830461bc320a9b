//! The domain: what is asked and what an event is. No I/O.
