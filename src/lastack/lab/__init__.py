"""Network namespaces, real kernel stacks, and the patterns of opening and closing that they make."""
