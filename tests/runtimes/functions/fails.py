raise KeyError("no such setting")
