"""The server room: speaks HTTP; holds no truth of its own."""
