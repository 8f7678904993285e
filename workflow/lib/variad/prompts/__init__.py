"""From a class name to prompts: candidate words, prompts made from them, and their similarity to the shots."""
