package probe_test

import (
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/health"
	"github.com/tidaldb/tidalsim/host/probe"
	"github.com/tidaldb/tidalsim/internal/golden"
)

// The page is a product: look at its changes in a browser, dark and light, wide and narrow.
func TestGoldenPage(t *testing.T) {
	for name, tells := range map[string]func(*health.Cluster){"full": full, "blank": blank, "empty": func(*health.Cluster) {}} {
		r := get(t, probe.Handler(&probe.Config{Inspect: of(&machine{tells: tells})}), "GET", "/")
		golden.Text(t, "testdata/"+name+".html", body(t, r), *rewrite)
		for key, want := range map[string]string{
			"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
		} {
			if got := r.Header.Get(key); got != want {
				t.Errorf("%s: %q, want %q", key, got, want)
			}
		}
	}
}

// A name is text, whatever is in it.
func TestThePageEscapesNames(t *testing.T) {
	r := get(t, probe.Handler(&probe.Config{Inspect: of(&machine{tells: func(c *health.Cluster) {
		*c = health.Cluster{
			Nodes:  []health.Node{{Region: `<script>alert("x")</script>`}},
			Shards: []health.Shard{{Region: `"><img src=x>`, Waits: "a < b & c"}},
		}
		c.Judge()
	}})}), "GET", "/")
	text := body(t, r)
	for _, bad := range []string{"<script", "<img", "b & c"} {
		if strings.Contains(text, bad) {
			t.Errorf("%s is in the page", bad)
		}
	}
	if !strings.Contains(text, "&lt;script&gt;") || !strings.Contains(text, "a &lt; b &amp; c") {
		t.Errorf("names are not there:\n%s", text)
	}
}

// The page names the node to ask.
func TestThePageNamesWhoKnows(t *testing.T) {
	for says, tells := range map[string]func(*health.Cluster){
		"It coordinates, and knows all figures.":                full,
		"It does not know who coordinates":                      blank,
		"Node 2 coordinates: only there are all figures known.": func(c *health.Cluster) { full(c); c.Coordinator = health.Of(env.ID(2)) },
	} {
		if text := body(t, get(t, probe.Handler(&probe.Config{Inspect: of(&machine{tells: tells})}), "GET", "/")); !strings.Contains(text, says) {
			t.Errorf("no %q in\n%s", says, text)
		}
	}
}
