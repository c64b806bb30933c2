package exitcode

import (
	"errors"
	"fmt"
	"testing"
)

func TestOf(t *testing.T) {
	plain, coded := errors.New("plain"), &Error{Code: 7, Err: errors.New("coded")}
	for _, c := range []struct {
		err  error
		want int
	}{
		{plain, 2},
		{coded, 7},
		{fmt.Errorf("it: %w", coded), 7},
		{errors.Join(plain, coded, &Error{Code: 8, Err: plain}), 7},
		{&Error{Code: 9, Err: coded}, 9},
	} {
		if got := Of(c.err, 2); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
	if !errors.Is(&Error{Code: 1, Err: plain}, plain) || coded.Error() != "coded" {
		t.Error("the error within does not show")
	}
}
