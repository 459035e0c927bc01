package wechat

import (
	"context"
	"slices"

	"hongyan/internal/fault"
)

// ComponentOption is a setting of an account that a component may read and change.
type ComponentOption string

// The options, their values, and the permission set each needs (61007 without it).
const (
	// OptionLocationReport sends the LOCATION event: 0 never, 1 when the chat is opened,
	// 2 every five seconds. It needs set 2.
	OptionLocationReport ComponentOption = "location_report"
	// OptionVoiceRecognize adds the recognised text to voice messages: 0 off, 1 on. It needs set 1.
	OptionVoiceRecognize ComponentOption = "voice_recognize"
	// OptionCustomerService lets agents answer: 0 off, 1 on. It needs set 6.
	OptionCustomerService ComponentOption = "customer_service"
)

// values tells which values o may have.
func (o ComponentOption) values() ([]string, error) {
	switch o {
	case OptionLocationReport:
		return []string{"0", "1", "2"}, nil
	case OptionVoiceRecognize, OptionCustomerService:
		return []string{"0", "1"}, nil
	}
	return nil, fault.BadField("option_name", "unknown", "no option is called %q", string(o))
}

type optionIn struct {
	componentRef
	Name  ComponentOption `json:"option_name"`
	Value string          `json:"option_value,omitempty"`
}

// AuthorisedOption returns the value of an account's option.
func (c *Client) AuthorisedOption(ctx context.Context, comp *Component, appID string, o ComponentOption) (string, error) {
	if err := checkAuthorised(comp, appID); err != nil {
		return "", err
	}
	if _, err := o.values(); err != nil {
		return "", err
	}
	var out struct {
		Value *string `json:"option_value"`
	}
	in := optionIn{componentRef{comp.AppID, appID}, o, ""}
	if err := c.postAs(ctx, comp, apiGetOption, in, &out); err != nil {
		return "", err
	}
	if out.Value == nil {
		return "", withoutProof(apiGetOption, "option_value")
	}
	return *out.Value, nil
}

// OptionValue is an option and the value to give it.
type OptionValue struct {
	Option ComponentOption
	Value  string
}

// SetAuthorisedOption changes an account's option. Repeating it is harmless.
func (c *Client) SetAuthorisedOption(ctx context.Context, comp *Component, appID string, o OptionValue) error {
	if err := checkAuthorised(comp, appID); err != nil {
		return err
	}
	values, err := o.Option.values()
	if err != nil {
		return err
	}
	if !slices.Contains(values, o.Value) {
		return fault.BadField("option_value", "unknown", "%s must be one of %v", o.Option, values)
	}
	return c.postAs(ctx, comp, apiSetOption, optionIn{componentRef{comp.AppID, appID}, o.Option, o.Value}, nil)
}
