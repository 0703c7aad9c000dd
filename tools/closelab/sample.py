"""stub"""
def make(path): return 0
