package simulator

import (
	"time"

	"hongyan/internal/fault"
)

// TemplateRepeat is a reading of how the platform answers a client_msg_id that it has seen (platform.md 13.3).
type TemplateRepeat string

// The readings.
const (
	RepeatRefused TemplateRepeat = ""      // 45065 with the msgid of the first message, as mass sends do
	RepeatOK      TemplateRepeat = "ok"    // success with the msgid of the first message; nothing is sent
	RepeatSends   TemplateRepeat = "sends" // the id means nothing, and the message goes out again
)

func (s *Switches) templateWindow() time.Duration {
	if s.TemplateWindow > 0 {
		return time.Duration(s.TemplateWindow)
	}
	return templateWindow
}

// checkTemplates refuses readings of template messages and notices that do not exist.
func (s *Switches) checkTemplates() error {
	switch {
	case s.TemplateRepeat != RepeatRefused && s.TemplateRepeat != RepeatOK && s.TemplateRepeat != RepeatSends:
		return fault.BadField("template_repeat", "unknown", "must be empty, ok or sends")
	case s.TemplateWindow < 0 || s.TemplateGap < 0 || s.ReceiptDelay < 0:
		return fault.BadField("template_window", "negative", "no time of template messages is negative")
	}
	return nil
}
