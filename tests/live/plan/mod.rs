//! Plans whose parts are run by the real program, on machines that share a job log and a destination.

mod airflow;
mod machines;
