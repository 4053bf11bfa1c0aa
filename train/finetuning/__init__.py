"""One run of -do_train, -do_eval and -do_predict: inputs, loop, evaluation."""
