package wechat

import "log/slog"

// String implements fmt.Stringer, without the secret.
func (comp Component) String() string { return "component " + comp.AppID }

// GoString implements fmt.GoStringer, without the secret.
func (comp Component) GoString() string { return comp.String() }

// LogValue implements slog.LogValuer, without the secret.
func (comp Component) LogValue() slog.Value { return slog.StringValue(comp.String()) }
