//! Sockets, rings, wake-ups: everything that touches the operating system's I/O.
