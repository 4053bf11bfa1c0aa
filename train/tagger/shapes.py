"""A check of tensors' shapes at the door of a function, before anything is built of them."""

import tensorflow.compat.v1 as tf


def check_shapes(sizes=None, **tensors):
    """Checks that tensors have the dimensions they should, and the same size wherever a dimension has the same name.

    Dimensions that are not known before the graph runs pass, and so does a tensor of unknown rank.

    Args:
      sizes: dict from the name of a dimension to its size, where that is known beforehand.
      tensors: by name pairs (tensor or array, names of its dimensions in one str).

    Raises:
      ValueError: naming the tensor, the shape that was expected and the one that came.
    """
    sizes = dict(sizes or {})
    for name, (tensor, dimensions) in tensors.items():
        dimensions = dimensions.split()
        shape = tensor.shape if hasattr(tensor, "shape") else tf.convert_to_tensor(tensor).shape
        shape = tf.TensorShape(shape)
        if shape.rank is None:
            continue
        found = shape.as_list()
        known = [sizes.get(dimension) for dimension in dimensions]
        fits = len(found) == len(known) and all(None in pair or pair[0] == pair[1] for pair in zip(found, known))
        if not fits:
            expected = ", ".join(d if size is None else f"{d}={size}" for d, size in zip(dimensions, known))
            raise ValueError(f"{name}: expected the shape [{expected}], got {found}")
        sizes.update({d: size for d, size in zip(dimensions, found) if size is not None})
