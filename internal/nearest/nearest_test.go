package nearest

import "testing"

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"replica", "replicas", 1}, {"regoin", "region", 1}, {"kitten", "sitting", 3}, {"ab", "ba", 1}, {"abcd", "badc", 2}, {"rnu", "run", 1},
	} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("from %q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestTheNameThatWasMeant(t *testing.T) {
	names := []string{"region", "regions", "rate", "us", "eu-west"}
	for name, want := range map[string]string{
		"regoin": "region", "REGION": "region", "regins": "regions", "regio": "region", "rat": "rate", "eu_west": "eu-west",
		"usa": "us", "asia": "", "eu": "", "": "", "limits": "",
	} {
		if got := Name(name, names); got != want {
			t.Errorf("nearest to %q is %q, want %q", name, got, want)
		}
	}
}
