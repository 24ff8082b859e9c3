"""One function per data set layout: folder in, `Split` out."""
