"""The client room: keeps a folder's promise whether the server is there or not."""
