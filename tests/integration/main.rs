//! One binary for everything that needs real parts; folders mirror the rooms.
