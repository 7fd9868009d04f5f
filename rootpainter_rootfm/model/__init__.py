"""What a foundation model is: its network, its weights file, its card, and the library a user chooses from."""
