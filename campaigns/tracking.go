package campaigns

import (
	"context"

	"gorm.io/gorm"

	"hongyan/internal/lang"
	"hongyan/templates"
	"hongyan/wechat"
)

// LinkFigure counts how often a tracked link of a message was opened. MessageID is the store's.
type LinkFigure struct {
	MessageID int64
	URL       string
	People    int64 // messages in which the fan opened it
	Taps      int64 // how often fans did
	Others    int64 // how often something else did: robots, previews, browsers outside of WeChat
}

// LinkQuery says of which messages figures are read, and of which days, numbered as by guard.Policy.Day.
type LinkQuery struct {
	AccountID  int64
	MessageIDs []int64
	From, To   int
}

// Links makes the tracked addresses of steps with track_links.
type Links interface {
	// Longest is the most bytes that a tracked address has; 0 while the installation has no public address, so that nothing can be tracked.
	Longest() int
	// Keep stores the addresses to which tracked ones lead.
	Keep(tx *gorm.DB, accountID int64, urls []string) error
	// Figures counts how often they were opened.
	Figures(ctx context.Context, q LinkQuery) ([]LinkFigure, error)
}

// tracked lists the addresses of a step's messages that are tracked, each once, in the order in which they are written.
func (s *Step) tracked() []string {
	if !s.TrackLinks {
		return nil
	}
	var out []string
	seen := map[string]bool{}
	for _, m := range s.Messages {
		for _, a := range templates.Addresses(m) {
			if a.Left == templates.LeftNot && !seen[a.URL] {
				seen[a.URL] = true
				out = append(out, a.URL)
			}
		}
	}
	return out
}

// drafts are a step's messages as they are stored.
func (s *Step) drafts() []templates.Draft {
	out := make([]templates.Draft, len(s.Messages))
	for i, m := range s.Messages {
		out[i] = templates.Draft{Message: m, TrackLinks: s.TrackLinks}
	}
	return out
}

// tracking checks that the links of a step can be tracked, and returns the length with which its messages have to fit; 0 for that which they are written with.
func (p *problems) tracking(at string, s *Step) int {
	if !s.TrackLinks || p.names == nil { // what the installation has is not known
		return 0
	}
	if p.names.longestLink == 0 {
		p.addf(at+".track_links", "public_url",
			"links cannot be tracked, because the server does not know at which address fans reach it; set HONGYAN_PUBLIC_URL and restart, or take track_links away")
	}
	return p.names.longestLink
}

// message checks one message; with longest above 0 it has to fit with tracked addresses too.
func (p *problems) message(at string, m wechat.Message, rules wechat.RuleSet, longest int) {
	_, err := templates.Compile(m, rules)
	if err == nil && longest > 0 {
		if _, tooLong := templates.CompileTracked(m, rules, longest); tooLong != nil {
			p.addf(at, "tracked_bytes", "with tracked links, which have up to %d bytes each, the message is longer than the platform takes; shorten it, or take track_links away", longest)
		}
	}
	if err != nil {
		p.nested(at, err)
	}
}

// Warning is something that a definition may say and that is probably not meant.
type Warning struct {
	Path  string // "steps[1].messages[0].text.content"
	Rule  string
	Words lang.Text
}

// Checked is what CheckDrip has to say of a definition without mistakes.
type Checked struct {
	Reaches  []Reach
	Warnings []Warning
}

// Warnings lists what is probably not meant in a checked definition.
func Warnings(d Definition) []Warning {
	var out []Warning
	for _, n := range d.Numbered() {
		if !n.TrackLinks {
			continue
		}
		for i, m := range n.Messages {
			for _, a := range templates.Addresses(m) {
				if a.Left != templates.LeftNot {
					out = append(out, Warning{Path: index(n.Path+".messages", i) + "." + a.Field, Rule: "link_" + string(a.Left), Words: leftWords(a)})
				}
			}
		}
		if len(n.tracked()) == 0 {
			out = append(out, Warning{Path: n.Path + ".track_links", Rule: "no_links", Words: lang.Text{
				ZH: "该步骤的消息里没有可以跟踪的链接", EN: "no message of the step has a link that can be tracked",
			}})
		}
	}
	return out
}

func leftWords(a templates.Address) lang.Text {
	switch a.Left {
	case templates.LeftVariable:
		return lang.Text{
			ZH: "链接「" + a.URL + "」里有变量，会按原样发送，不跟踪；如需跟踪，请去掉变量",
			EN: "the address " + a.URL + " holds a variable: it is sent as it is and not tracked; take the variable out to have it tracked",
		}
	case templates.LeftEntity:
		return lang.Text{
			ZH: "链接「" + a.URL + "」里有 &amp; 之类的写法，会按原样发送，不跟踪；如需跟踪，请直接写 &",
			EN: "the address " + a.URL + " holds an entity such as &amp;: it is sent as it is and not tracked; write a plain & to have it tracked",
		}
	default:
		return lang.Text{
			ZH: "链接「" + a.URL + "」不是普通的网页地址，会按原样发送，不跟踪",
			EN: "the address " + a.URL + " is no plain address of a web page: it is sent as it is and not tracked",
		}
	}
}

// LinkReport counts how often a tracked link of a step was opened.
type LinkReport struct {
	URL    string
	People int64 // messages in which the fan opened it: a fan counts once for each
	Taps   int64 // how often fans did
	Others int64 // how often something else did
}

// reportLinks fills in the links of steps.
func (s *Store) reportLinks(ctx context.Context, q figuresOf, x *figureIndex, at map[[2]int]*StepReport) error {
	if s.Links == nil {
		return nil
	}
	var ids []int64
	for id, place := range x.places {
		if step := at[[2]int{place.number, place.stepNo}]; step != nil && len(step.Links) > 0 {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	found, err := s.Links.Figures(ctx, LinkQuery{AccountID: q.accountID, MessageIDs: ids, From: q.from, To: q.to})
	if err != nil {
		return err
	}
	for _, f := range found {
		place := x.places[f.MessageID]
		links := at[[2]int{place.number, place.stepNo}].Links
		for i := range links {
			if links[i].URL == f.URL {
				links[i].People, links[i].Taps, links[i].Others = links[i].People+f.People, links[i].Taps+f.Taps, links[i].Others+f.Others
			}
		}
	}
	return nil
}

// awaitsClick reports whether a step waits for a tap, which may be one on a link: that opens no grant.
func (v *version) awaitsClick(s *step) bool { return s.waits.links && v.tracks }
