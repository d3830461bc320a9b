//! Reading one scan from AWS: event history and Athena.
