//! Rules that no transcript can show, and what must hold for any input.
