package v1

// SettingsResponse answers GET /v1/admin/settings: the effective settings of the
// answering node.
type SettingsResponse struct {
	Settings []Setting `json:"settings"`
}

// Setting is one effective setting. The value of a secret is masked.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	// From is flag, environment, file or default.
	From string `json:"from"`
}
