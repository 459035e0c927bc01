package fans

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"strconv"

	"hongyan/wechat"
)

// What a line of a result file says. The words are part of the file's format.
const (
	foundFollowing    = "followed"      // follows, and we did not know
	foundGone         = "unfollowed"    // does not follow any more, and we did not know
	foundBlacklisted  = "blacklisted"   // on the platform's blacklist, and we did not know
	foundFreed        = "unblacklisted" // not on it any more
	foundFailed       = "failed"        // refused by the platform, see detail
	foundCountDiffers = "count_differs" // of the whole list, without a fan
)

// resultFile is the part of a job's result file that one step makes: CSV with a header at the start of the file.
type resultFile struct {
	b   bytes.Buffer
	err error // of the first line that could not be written
}

// part returns what was written.
func (f *resultFile) part() ([]byte, error) { return f.b.Bytes(), f.err }

// header names the columns. A fan is named by our id, which tells nothing of a person who is erased later.
func (f *resultFile) header() { f.line("fan_id", "what", "detail") }

func (f *resultFile) line(fields ...string) {
	w := csv.NewWriter(&f.b)
	f.err = errors.Join(f.err, w.Write(fields))
	w.Flush()
}

func (f *resultFile) allFound(fans []int64, what string) {
	for _, id := range fans {
		f.line(strconv.FormatInt(id, 10), what, "")
	}
}

func (f *resultFile) refused(fan int64, err *wechat.Error) {
	f.line(strconv.FormatInt(fan, 10), foundFailed, fmt.Sprintf("%d %s", err.Code, err.Msg))
}
