package admin

import (
	"context"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"

	"hongyan/internal/fault"
)

// etag is the ETag of a revision.
func etag(revision int64) string { return strconv.Quote(strconv.FormatInt(revision, 10)) }

// readRevision reads If-Match: the ETag of the last read.
func (op *Op) readRevision(ctx huma.Context, c *Call) error {
	if !op.Edits {
		return nil
	}
	header := strings.TrimSpace(ctx.Header(fiber.HeaderIfMatch))
	if header == "" {
		return refuse(kindUnconditional, fault.BadField("header.If-Match", "required",
			"say what you have changed: send If-Match with the ETag of the last read, so that nobody else's change is lost"))
	}
	unquoted, err := strconv.Unquote(header)
	if err == nil {
		c.revision, err = strconv.ParseInt(unquoted, 10, 64)
	}
	if err != nil {
		return refuse(kindChanged, fault.BadField("header.If-Match", "etag", "If-Match is none of our ETags; send the one of the last read, with its quotes"))
	}
	return nil
}

// Edit changes a thing that the caller has seen. change does it on the condition that the thing still has the revision that it is given, and says Conflict
// when not; revision then reads the one of now, past any cache, and the caller is told it.
func (c *Call) Edit(ctx context.Context, change func(ctx context.Context, revision int64) error, revision func(context.Context) (int64, error)) error {
	err := change(ctx, c.revision)
	if !fault.Is(err, fault.Conflict) {
		return err
	}
	if now, again := revision(ctx); again == nil && now != c.revision {
		return stale(now)
	}
	return err // not possible as things stand
}

func stale(now int64) error {
	return refuse(kindChanged, fault.New(fault.Conflict, "this was changed by somebody else; read it again, and change what is there now")).with(fiber.HeaderETag, etag(now))
}
