package truth

// calibrated is PopAccu's vote with the accuracies that gold labels alone show:
// nothing is learnt from questions without a label. It is never the default.
type calibrated struct{ popAccu }

func (calibrated) name() string { return "calibrated" }

func (calibrated) prior() (rate, voices float64) { return 0.5, pseudo }
