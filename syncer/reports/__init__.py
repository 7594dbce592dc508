"""
What people and programs look at: text (`terminal`), JSON (`documents`), a pull under way (`progress`), how things
stand (`standing`), commands to type (`commands`).
"""
