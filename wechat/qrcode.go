package wechat

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"hongyan/internal/fault"
)

const (
	apiQRCodeCreate = "/cgi-bin/qrcode/create"
	apiShowQRCode   = "/cgi-bin/showqrcode"

	// qrImageHost serves the images of QR codes (platform.md 0.3); the API's hosts do not.
	qrImageHost = "https://mp.weixin.qq.com"
)

// The limits of parametric QR codes (platform.md 6.1).
const (
	MaxQRLifetime     = 30 * 24 * time.Hour // of a temporary code
	MaxPermanentQR    = 100_000             // permanent codes of an account, both kinds together
	MaxPermanentScene = 100_000             // the largest number in a permanent code
	MaxSceneLength    = 64                  // characters
)

// NewQRCode describes a parametric QR code: exactly one of SceneID and Scene is set.
type NewQRCode struct {
	SceneID  uint32        // 1 to 4294967295, of a permanent code 1 to 100,000
	Scene    string        // 1 to 64 characters
	Lifetime time.Duration // whole seconds up to 30 days; 0 asks for a permanent code
}

// QRCode is a parametric QR code.
type QRCode struct {
	Ticket    string        // stands for the image, and comes with the scan's event
	URL       string        // what the code says: draw the image from it
	ExpiresIn time.Duration // 0 of a permanent code
}

type qrScene struct {
	ID  uint32 `json:"scene_id,omitempty"`
	Str string `json:"scene_str,omitempty"`
}

type qrRequest struct {
	Expires int64  `json:"expire_seconds,omitempty"`
	Action  string `json:"action_name"`
	Info    struct {
		Scene qrScene `json:"scene"`
	} `json:"action_info"`
}

// CreateQRCode makes a parametric QR code. The same scene asked for twice yields two codes,
// both good; a permanent one can never be taken back and counts against 100,000, so that
// after OutcomeLost it is better to wait for a human. Who: verified service accounts
// (48001). Errors: 40052, 40053, 40129, 45029 for the 100,001st permanent code, 45009
// (platform.md 6.1).
func (c *Client) CreateQRCode(ctx context.Context, acc Account, in NewQRCode) (QRCode, error) {
	if err := in.validate(); err != nil {
		return QRCode{}, err
	}
	body := qrRequest{Action: in.action(), Expires: int64(in.Lifetime / time.Second)}
	body.Info.Scene = qrScene{ID: in.SceneID, Str: in.Scene}
	var out struct {
		Ticket  string `json:"ticket"`
		URL     string `json:"url"`
		Expires int64  `json:"expire_seconds"`
	}
	if err := c.post(ctx, acc, apiQRCodeCreate, body, &out); err != nil {
		return QRCode{}, err
	}
	if out.Ticket == "" {
		return QRCode{}, withoutProof(apiQRCodeCreate, "ticket")
	}
	return QRCode{Ticket: out.Ticket, URL: out.URL, ExpiresIn: time.Duration(out.Expires) * time.Second}, nil
}

func (n *NewQRCode) action() string {
	kind := "SCENE"
	if n.Scene != "" {
		kind = "STR_SCENE"
	}
	if n.Lifetime == 0 {
		return "QR_LIMIT_" + kind
	}
	return "QR_" + kind
}

func (n *NewQRCode) validate() error {
	var c checker
	switch {
	case n.SceneID == 0 && n.Scene == "":
		c.badf("scene", "required", "a code needs a scene: a number from 1 or a text")
	case n.SceneID != 0 && n.Scene != "":
		c.badf("scene", "one_of", "a scene is a number or a text, not both")
	}
	if utf8.RuneCountInString(n.Scene) > MaxSceneLength {
		c.badf("scene_str", "characters", "a scene has at most %d characters", MaxSceneLength)
	}
	if n.Lifetime == 0 {
		if n.SceneID > MaxPermanentScene {
			c.badf("scene_id", "range", "the number in a permanent code is from 1 to %d", MaxPermanentScene)
		}
	} else if err := checkLifetime(n.Lifetime); err != nil {
		c.errs = append(c.errs, err)
	}
	return errors.Join(c.errs...)
}

// checkLifetime is the rule of all things of the platform that live up to 30 days.
func checkLifetime(d time.Duration) error {
	if d < time.Second || d > MaxQRLifetime || d%time.Second != 0 {
		return fault.BadField("expire_seconds", "range", "a lifetime is a whole number of seconds from 1 to %d", MaxQRLifetime/time.Second)
	}
	return nil
}

// QRCodeImageURL is where the image of a ticket is served, to anybody and without a token:
// mp.weixin.qq.com for accounts of the platform, the simulator itself for accounts on it.
// An expired ticket has no image there (HTTP 404).
func (c *Client) QRCodeImageURL(acc Account, ticket string) (string, error) {
	if ticket == "" {
		return "", fault.BadField("ticket", "required", "an image needs a ticket")
	}
	base := acc.BaseURL
	if root, err := url.Parse(base); base == "" || err == nil && strings.HasSuffix(root.Hostname(), ".weixin.qq.com") {
		base = qrImageHost
	}
	u, err := c.target(base, &exchange{api: apiShowQRCode, query: url.Values{"ticket": {ticket}}})
	if err != nil {
		return "", fault.Wrap(fault.Invalid, err, "make the address of a QR code's image")
	}
	return u.String(), nil
}
