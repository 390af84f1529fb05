// A module that fails to load with a TypeError.
undefined.noSuchName
