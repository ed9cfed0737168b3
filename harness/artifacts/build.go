package artifacts

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/zeebo/xxh3"
)

// Build identifies this binary: version, toolchain, and a hash of the executable,
// by which a recording knows whether it is replayed by what wrote it.
var Build = sync.OnceValue(func() string {
	return fmt.Sprintf("%s %s %s/%s %s", Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH, executableHash())
})

// Version is the module's version, or the revision it was built from.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" && (version == "" || version == "(devel)") {
			version = setting.Value
		}
	}
	return version
}

func executableHash() string {
	path, err := os.Executable()
	if err != nil {
		return "unknown"
	}
	file, err := os.Open(path)
	if err != nil {
		return "unknown"
	}
	defer file.Close()
	h := xxh3.New()
	if _, err := io.Copy(h, file); err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%016x", h.Sum64())
}
