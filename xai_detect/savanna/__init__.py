"""The drawn world: savanna scenes whose animals, parts and trees are known as masks."""
