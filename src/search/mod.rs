//! Running a plan: fan-out, merge, resume.
