//! For tests: a whole server in process, scripted peers, virtual time, the transcript runner.
