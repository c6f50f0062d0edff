# Calls into C, mostly: the annotations of its functions are all the types that it has.
