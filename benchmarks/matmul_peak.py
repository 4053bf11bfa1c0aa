"""How fast TensorFlow multiplies matrices of the encoder's shapes on this machine.

python -m benchmarks.matmul_peak fp32|bf16       prints floating-point operations a second
"""

import sys
import time

import tensorflow.compat.v1 as tf

from bert.runtime import devices

ROWS, HIDDEN, INTERMEDIATE = 2048, 768, 3072
PRODUCTS, ROUNDS = 6, 5


def measure(precision):
    """The best rate of [2048, 768] x [768, 3072], in floating-point operations a second."""
    devices.prepare()
    with tf.Graph().as_default(), tf.Session() as session:
        dtype = devices.DTYPES[precision]

        def random(*shape):
            return tf.Variable(tf.cast(tf.random_normal(shape), dtype))

        kernel = random(HIDDEN, INTERMEDIATE)
        # Assigned, so that no optimizer of graphs leaves a product out.
        products = [random(ROWS, INTERMEDIATE).assign(tf.matmul(random(ROWS, HIDDEN), kernel)) for _ in range(PRODUCTS)]
        run = tf.group(*products)
        session.run(tf.global_variables_initializer())
        session.run(run)
        seconds = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            session.run(run)
            seconds.append(time.perf_counter() - start)
        return 2.0 * ROWS * HIDDEN * INTERMEDIATE * PRODUCTS / min(seconds)


if __name__ == "__main__":
    print(measure(sys.argv[1]))
