"""From analysed photos, or from a text, to a list of suggestions.

Read in this order: suggest.py says the steps, query.py what is asked, steering.py, wish_fields.py and text_wishes.py
what a text says, applied_rules.py which rules of staff apply, candidates.py and song_cache.py stage one, scores.py and
wish_scores.py stage two, song_list.py and personal_taste.py which songs make up the list, explanations.py line and
reasons.
"""
