throw new RangeError('no such setting')
